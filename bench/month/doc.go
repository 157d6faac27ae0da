// Command month lives through a month in the life of a slot: real mail comes to
// large and small users by the hours of the day, some of it is deleted, users come,
// are renamed and go, the machine is rebooted, and the tiers run themselves by the
// default schedule on a tmpfs of limited size. Only the clock is made: it stands still
// while the slot works, and moves on to its next alarm when the slot waits for one, so
// that what is done in an hour takes none of it but for its rests.
//
//	go run ./bench/month -corpus DIR -days 30 -users 200 -svg docs/operations/month.svg
//
// It fails where temp is ever over its configured size, a search answers differently
// from a scan, something is logged as a trouble, the last check finds anything, or a
// database or a user's directory is left behind. Mounting the tmpfs takes root.
package main
