// Package filecolumns knows the columns of a database that hold names of files, as Django's FileField writes them:
// relative to the directory of uploaded files, or empty.
//
// A database that is read may be a stranger's, in a throwaway server where this session may do everything. So only
// columns of ordinary tables are read, and only those of string types, without a cast: nothing that the database itself
// has defined is run for it.
package filecolumns
