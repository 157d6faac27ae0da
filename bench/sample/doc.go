// Package sample makes mail: messages in twenty languages and more than thirty
// charsets, in threads, with alternatives, attachments and nested messages, and
// some that are as broken as real ones. The demo imports it, tests and
// workloads search it.
//
// The same options give the same bytes, on every machine. All words are the
// project's own (phrases/*.txt); all addresses are under the names that RFC
// 2606 reserves. It reads no files and writes none.
package sample
