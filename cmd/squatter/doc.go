// Command squatter indexes, compacts and audits the search indexes of a slot,
// beside its running daemon or without one. Its flags are those that operators of
// the reference system know.
//
//	squatter [-v] -C FILE [-i] [-r] [MAILBOX...]       index
//	squatter [-v] -C FILE [-i] -u USER...              index all of a user's mail
//	squatter [-v] -C FILE -z TIER -t TIER,... [-F] [-X | -T TIER,...] [--full-speed] [-u] [USER...]   compact
//	squatter [-v] -C FILE -A [-u] [USER...]            audit
//	squatter [-v] -C FILE -R [-n CHANNEL]              index as mail comes
//
// Mailboxes are named user.NAME, user.NAME.FOLDER or, for names with dots,
// user/NAME/FOLDER. Without arguments, every user is meant.
//
// The exit status is 0 if everything was done, 64 for wrong usage, 78 for a bad
// configuration, and 75 if anything failed or was left undone, which the last
// line on standard error sums up.
package main
