package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

const (
	outputTable = "table"
	outputJSON  = "json"
)

// globalFlags are those of every command.
type globalFlags struct {
	config    string
	output    choice
	noColor   bool
	verbose   int
	logFormat choice
	logTarget string
	timeout   span
	yes       bool
}

func (a *App) addGlobalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.BoolP("help", "h", false, "print this help")
	f.StringVar(&a.flags.config, "config", "", "configuration `FILE` (default $FORGECTL_CONFIG, else /etc/bmad-forge/forgectl.yaml)")
	a.flags.output = choice{value: outputTable, of: []string{outputTable, outputJSON}}
	f.VarP(&a.flags.output, "output", "o", "print the result as table or json, also where a success would be silent")
	f.BoolVar(&a.flags.noColor, "no-color", false, "no colour, as with a non-empty $NO_COLOR")
	f.CountVarP(&a.flags.verbose, "verbose", "v", "print log lines; twice: what helps to find a fault too")
	a.flags.logFormat = choice{value: logText, of: []string{logText, logJSON}}
	f.Var(&a.flags.logFormat, "log-format", "log lines as text or json")
	f.StringVar(&a.flags.logTarget, "log-target", targetStderr, "log to stderr, syslog (facility local0) or a `FILE`")
	f.Var(&a.flags.timeout, "timeout", "give up after this `TIME`, such as 90m; 0 is never")
	f.BoolVar(&a.flags.yes, "yes", false, "do not ask before something is replaced")

	complete(root, "config", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	})
	complete(root, "output", cobra.FixedCompletions(a.flags.output.of, cobra.ShellCompDirectiveNoFileComp))
	complete(root, "log-format", cobra.FixedCompletions(a.flags.logFormat.of, cobra.ShellCompDirectiveNoFileComp))
	complete(root, "log-target", cobra.FixedCompletions([]string{targetStderr, targetSyslog}, cobra.ShellCompDirectiveDefault))
	complete(root, "timeout", cobra.NoFileCompletions)
	complete(root, "verbose", cobra.NoFileCompletions)
}

// complete registers how the value of a flag is completed;
// cobra.NoFileCompletions says that nothing is known about it.
func complete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(fmt.Sprintf("completion of --%s of %s: %v", flag, cmd.Name(), err))
	}
}
