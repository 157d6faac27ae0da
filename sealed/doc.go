// Package sealed gives the rows of SQLite tables a CRC, and reads no row that does
// not match its own.
//
// A Table says which columns a row has. Its CRC, the column seal, is a generated one: SQLite
// itself computes it, whichever statement writes the row, so that no writer can forget it. A second
// generated column, sound, is 1, or an error if the row does not match. A trigger refuses to
// change such a row, because the new CRC would make the damage sound; where rows change often, the statement
// that changes them says "WHERE sound" instead. Whoever reads names
// the table in braces, and Expand makes of "{mailbox}" the rows of mailbox that are sound: one that is
// not is an error that is ErrRow, whatever the statement asked.
//
// What always holds:
//
//   - a row that Expand's text reads is as it was written, or the statement fails;
//   - an UPDATE, which of a table that is changed often asks for sound, fails at a row that does not match; DELETE and REPLACE do not, for that is
//     how a repair puts a row in its place;
//   - a copy by VACUUM keeps the CRCs as they are, right or wrong.
//
// The CRC is computed by a function of this package, which Open and Connector give to the connection: other
// programs can read the columns of such a table by their names, and not write it. What a CRC cannot tell is
// that a row is gone, or is one of another time: counters and the indexes of SQLite are for that.
//
// Damaged asks for the rows that do not match, and Mend finds what a row was where one bit or one value of it is
// wrong. The package has no files and no locks of its own.
package sealed
