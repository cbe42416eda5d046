"""The CSV reader: records found exactly, values converted strictly, rejects explained.

What a record is, here and nowhere else: LF, CRLF and a lone CR end a record, except between quotes.
A quote opens a quoted field only as the first byte of a field; in it a doubled quote is a quote,
and the next single one closes it. What follows up to the delimiter belongs to the field as it is.
Lines without a single byte are no records. After a quote that nothing closes `resuming` says
where reading goes on. The header is a file's first record. These are the
rules of Python's csv module and of pyarrow, and the tests hold all three against each other.

What a file's text is comes first: `encoding` gives it in UTF-8, `margins` what stands above and
below its records, and `plain` a copy of those that no parser knows as they are written. At the end
`returning` finds the places and bytes of the file again.

Clean bytes never pay for dirty ones: a segment is parsed by pyarrow with its final types, and the
number of rows is compared with the records counted from the bytes. When anything is amiss,
`explain` takes the segment apart record by record, the bad records' bytes are cut out, and the
rest goes the fast way again, so that every value that is kept comes from one and the same
converter.
"""
