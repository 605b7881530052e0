// Package config turns one strict YAML file, the environment and the flags of a run into one struct.
//
// One table (keys.go) has a row for every setting: its name, the field it fills, its default, the environment variables
// that set it and what an operator should know about it. Loading, [Loaded.Values], [Init] and [Reference] all read that
// table, so a setting cannot be known to one and unknown to another.
//
// A flag beats the environment, the environment beats the application's environment file (app.environment_file), that
// one beats the configuration file, and the file beats the defaults. [Load] applies them all or fails: what comes back
// is complete and each value has been checked. It reads files but never the environment, changes nothing, contacts
// nothing and keeps no state, so it may be called again and from several goroutines.
//
// Every mistake found in what was written is an [*Error] with the place and the line itself; several are joined. A file
// with a secret in it that others can read is an [*Error] around a [*PermissionError]. No error and no [Value] ever
// shows a password. What is well-formed but will not work on this machine is not an error: [Loaded.Check] finds it.
package config
