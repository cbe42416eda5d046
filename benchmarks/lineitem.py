"""The table that every peer reads and writes: TPC-H `lineitem`, in the words of the pipeline file.

The money columns are `decimal(15,2)`, not floats: it is the type that TPC-H itself gives them,
stagepipe, DuckDB and Polars read it from CSV at about the speed of floats (DuckDB and Polars a
little faster, with smaller output), and sums of decimals are exact, so that results can be compared
to the cent.
"""

COLUMNS = {
    "l_orderkey": "int64",
    "l_partkey": "int64",
    "l_suppkey": "int64",
    "l_linenumber": "int32",
    "l_quantity": "decimal(15,2)",
    "l_extendedprice": "decimal(15,2)",
    "l_discount": "decimal(15,2)",
    "l_tax": "decimal(15,2)",
    "l_returnflag": "string",
    "l_linestatus": "string",
    "l_shipdate": "date",
    "l_commitdate": "date",
    "l_receiptdate": "date",
    "l_shipinstruct": "string",
    "l_shipmode": "string",
    "l_comment": "string",
}
