// Package importer carries messages from a source to a slot, in groups that
// share their syncs, while the next group is being read.
//
// What is wrong with one message is reported with its place and stops nothing;
// what is wrong with the slot (over quota, a full disk) stops the import. With a
// journal, an import that was interrupted goes on where it stopped.
package importer
