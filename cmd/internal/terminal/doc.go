// Package terminal tells terminals from pipes, shows progress on the former
// only, and asks for passwords.
package terminal
