// Package daemon starts real slots for tests and benchmarks: it builds the
// commands once, writes a configuration with roots of its own and loopback
// ports, and starts, kills and asks the processes. It ends only what it
// started.
package daemon
