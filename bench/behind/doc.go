// Package behind writes to sealed tables as no program of the project does: values are changed and the
// CRCs of their rows stay what they are, as after damage on the disk. Only tests use it.
//
// It has no files and no locks; whoever calls it has the database to himself.
package behind
