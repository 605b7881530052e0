// Package restore brings a backup set back.
//
// Nothing that exists is touched before its replacement is complete and
// compared: a database is loaded beside, under a working name, and gets its
// own name in one transaction at the very end. When anything fails, what was
// loaded is dropped again.
package restore
