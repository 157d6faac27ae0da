// Package backup keeps copies of a slot's mail in a directory of their own, each as
// the mail was at one time, and brings mail back from them.
//
// # Files
//
//	DIR/teraslot-backup                    what makes the directory one
//	DIR/lock                               flock: one who writes, or any number who read
//	DIR/generations/<time>                 a manifest: the accounts, the users, their files
//	DIR/accounts/<time>                    slot.db, compressed
//	DIR/users/<hh>/<id>/<time>.records     a user's mail.db, compressed
//	DIR/users/<hh>/<id>/<n>.pack           a user's pack n, as far as any generation needs it
//	DIR/scratch/                           for SQLite to work in; removed at the next run
//
// docs/formats.md draws the manifest.
//
// # A run
//
// Packs only grow, so of each only the octets are copied that are not there yet, every
// message checked against its GUID. They are copied before mail.db and once more
// after it: what the copy of mail.db refers to was on disk before it was made, and
// is copied by the second round at the latest. A pack that is gone by then was repacked
// meanwhile, and the user is begun anew: packs, mail.db, packs. So each user is
// consistent in itself, while the slot runs; two users may be seconds apart. Where a mailbox
// changed its owner in between, both are copied once more, until it is in one of the copies.
//
// # What always holds
//
//   - A generation is there when its manifest is, which is published last, after all
//     that it names was synced. A run that ends anywhere leaves the generations
//     before it as they were.
//   - Octets that a generation needs are never changed: packs are appended to behind
//     them, all other files are written under new names. Pack numbers of a slot that
//     was itself restored may come again with other octets: they get a file of their own.
//   - Files go after the last manifest that names them has gone.
//   - Only names that this package made are removed.
//   - A mailbox that changes its owner is in each generation with one of those who had it, or alike
//     with two: then a restore leaves it with the new one.
//   - The slot is only read. What is put back is checked on the way, and renewed
//     (mailstore.Mail.Renew): nothing that clients may know is ever given again.
//
// # Locks
//
// The directory's lock is taken by every method that reads or writes it, for as long
// as that takes. Nothing else is locked; slot.lock is taken by restoring into a slot.
//
// # What it does not do
//
// It does not know credentials beyond the file that it is given, no schedules, no
// index (which is derived), no configuration and no certificates.
package backup
