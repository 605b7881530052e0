// Package health asks the application whether it is well, and judges the
// answer.
//
// [Check] asks once. [Gate] asks until the application has been well several
// times in a row, or time is up: it stands at the end of a restore.
//
// The contract:
//
//   - What prevents asking is an error: no address ([ErrNoURL]), one that is no
//     HTTP address, the end of the context. Everything that the application or
//     the way to it does wrong is a [Report], with a verdict: no connection, a
//     time limit and a broken answer are Critical.
//   - Anything but HTTP status 200 is Critical. A JSON object whose "status" is
//     not "healthy" is a Warning, in which the members of "checks" that are not
//     well are named. A body that is no JSON object is well, and Report.Note
//     says that it could not be judged; one that begins like an object and is
//     none is a Warning, since half of "unhealthy" must not pass.
//   - A redirect is followed where the framework itself makes it: to the same
//     host and path, but for https and a slash at the end. Any other is Critical
//     as it is for curl: a login page answers 200 whatever happens.
//   - No proxy is used, no connection kept, and no more than [BodyLimit] of the
//     body read.
//   - Passwords and queries of the address are in no report and no error.
package health
