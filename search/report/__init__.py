"""The report: a study on one page, with everything that it shows inside the file.
`making` is the way in."""
