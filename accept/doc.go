// Package accept takes the connections of a listener, and waits where the machine is
// short of what they need.
//
// It keeps no file and no state, and starts no goroutine. It does not count or end
// connections: what becomes of one is for the caller to decide.
package accept
