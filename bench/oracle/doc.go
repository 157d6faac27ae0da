// Package oracle compares SEARCH with an independent reading of the same mail:
// oracle.py parses, decodes and searches with Python's own library and asks the
// server over IMAP. docs/search.md judges every difference that is left;
// judged.txt names the messages they are on.
//
// order.py does the same for SORT and THREAD: it makes every order and all threads from
// the messages; Orders asks for its answers one by one, for tables. And a real Dovecot,
// given the same mail, has to sort and thread it alike.
package oracle
