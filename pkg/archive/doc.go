// Package archive turns files and directories into a tar stream and back.
//
// Pack reads paths of this machine: without following links, never opening what is no regular file, and each file
// until two looks at it agree. The stream is POSIX pax, in an order that depends on the names only, and any tar reads
// it. Names are relative to "/". An index beside it has one line for each entry, with hashes, and names what could
// not be stored.
//
// A Reader and Extract take a stream from anywhere: hostile until proven otherwise. A name that is absolute, leaves the
// root, comes twice or lies below a link or a file, a link that leaves the root, a device, a sparse file, and
// whatever exceeds the Limits is a *HostileError, and reading ends there. Extract reaches every name from the
// root's descriptor, one element at a time, and follows no link on its way: whatever happens meanwhile, nothing is
// written outside of the root. Memory is bounded by the Limits, and contents are streamed.
//
// Nothing here is locked or retried. What Extract made before an error is left to the caller, who named the directory.
package archive
