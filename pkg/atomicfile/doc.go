// Package atomicfile writes files that are there whole or not at all, also after a crash.
//
// A file is written under a temporary name beside its own (".<base>.tmp-<random>"), brought to stable storage,
// renamed, and the directory is brought to stable storage too. A reader sees the old content or the new one.
// Nothing is visible before Commit; whatever goes wrong before it, Abort leaves no trace. Only a process that
// is killed leaves its temporary file behind.
//
// A write that failed, even one whose error the caller dropped, makes Commit fail: a short file never gets
// its name.
//
// When the effective user is root, what is created (file, link or directory) gets the owner and group of the
// directory that it is created in, before it can be seen under its name. So root and the user that the
// directory belongs to can take turns.
//
// The functions whose names end in In do the same below an os.Root, which no symbolic link leads out of.
package atomicfile
