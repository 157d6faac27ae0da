// Command relevance asks how often ranked search finds the message that somebody
// has in mind, and how far up.
//
// Known-item queries are drawn from the corpora by the rule in draw.go: two to four
// words of a message that its reader would remember, half of the queries with one
// of them mistyped or in another form. The rule and the seeds are fixed, so the
// queries are the same for everybody. Half of them, the set "held", are not looked
// at while weights are tuned; "tune" is for that.
//
// Every query is put to ranked search as FUZZY TEXT, and with -cyrus also to Cyrus's
// FUZZY, sorted by RELEVANCY, on the same mail in the same run. Printed are the mean
// reciprocal rank of the message meant, how often it is among the first 20, and with
// -misses each query that misses them.
package main
