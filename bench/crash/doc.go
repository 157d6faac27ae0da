// Package crash kills real processes at random moments and looks whether the
// slot keeps its word: every acknowledged message is there after the next
// start, under the UID that was seen, byte for byte, and found by search, with
// no repair command run. See powercut for what kill -9 cannot show.
package crash
