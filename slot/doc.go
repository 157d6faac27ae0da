// Package slot puts a slot together: it reads the configuration, opens what
// the configuration names, runs it until it is told to stop, and stops it so
// that nothing acknowledged is lost.
package slot
