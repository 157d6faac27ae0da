// Package netns gives tests Linux namespaces: networks of their own, each joined to that
// of the test by a pair of virtual interfaces which can be unplugged, and small file systems
// that nobody else sees. All of it is gone when the test's process is, however that ends.
//
// A package whose TestMain calls Main runs in a process of its own namespaces for network
// and mounts: what its tests set up does not touch the machine's. That takes root, or
// another who may make namespaces. Where the kernel refuses, the tests run without, and Refused says
// why.
package netns
