// Package corpus reads the archives of real mail that tests and benchmarks use.
// The directory that holds them is named by the environment variable CORPUS;
// where it is not set, tests skip and say so.
package corpus
