"""The query language of `words` and `noteswords`: text in, a frozen tree, a search out."""
