// Package disk is the door to the file system for everything that has to
// outlive a power cut.
//
// FS is what the other packages need of a file system: files, directories,
// fsync of both, and advisory locks. OS is the real one. Memory is one that
// forgets: after a crash it holds what was fsynced, and of the rest what the
// seed chooses, so a test shows whether an fsync was left out. WithFaults makes
// any of them fail at a chosen operation.
//
// The rules that Publish and the like keep, and every caller who writes
// without them:
//
//   - the bytes of a file are durable after File.Sync, its name after SyncDir of
//     the directory that holds it: one says nothing about the other;
//   - a file that readers may open under its final name is written under another
//     one, synced and renamed (Publish);
//   - a file whose Sync failed is not trusted again, nor synced again: the kernel
//     may have dropped what it could not write. Write anew, under a new name or
//     behind what is known to be whole;
//   - what is removed was named by this program (RemoveTree).
//
// Locks are flock(2): they belong to the open file, end with the process, and
// two holders in one process exclude each other like two processes do. A lock
// file is created once and never renamed or removed while anyone may lock it.
//
// The package knows nothing of mail, formats or layouts.
package disk
