// Command replicademo runs a store of three slots on this machine by the files in
// docs/examples: a client writes to the master, others read the same from the replicas, one
// of which is killed and catches up. With ONCE=1 it ends then, and its status says
// whether all was seen; otherwise the slots run until it is interrupted.
package main
