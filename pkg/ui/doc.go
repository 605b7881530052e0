// Package ui speaks to whoever started the program: results on standard
// output, everything else on standard error, and each differently for a person
// at a terminal and for a pipe.
//
// A [Streams] knows which of its ends are terminals. From that follows the rest
// without a question by the caller: [Streams.Table] aligns for a terminal and
// separates by tabs for a pipe, [Streams.Progress] draws only where somebody
// can see it, [Streams.Confirm] refuses where nobody can answer, and colour
// appears only when standard output is a terminal and it was not turned off.
//
// Nothing here closes a stream. The zero values of the terminal flags describe
// a pipe, so a test needs no more than
//
//	&ui.Streams{Out: &out, Err: &errs}
//
// Text that comes from elsewhere (names of databases, messages of servers) is
// escaped before it is shown: it can neither break a row nor steer a terminal.
package ui
