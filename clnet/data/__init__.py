"""From a dataset's files to prepared cases: layout, reading, preparing, storing, sampling."""
