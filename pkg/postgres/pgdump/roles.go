package pgdump

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// RoleScript is the part of 00-globals.sql that makes roles, statement by
// statement.
type RoleScript struct{ statements []roleStatement }

// roleStatement is one statement and the roles that it is about.
type roleStatement struct {
	sql   string
	verb  string // one of roleVerbs
	roles []string
}

// roleVerbs are the statements about roles, in the order in which they are run.
var roleVerbs = []string{"CREATE ROLE", "ALTER ROLE", "COMMENT ON ROLE", "GRANT"}

// ReadRoleScript reads what pg_dumpall --globals-only wrote about roles. It knows
// the statements of src/bin/pg_dump/pg_dumpall.c (dumpRoles, dumpRoleMembership,
// dumpUserConfig), each of which ends a line with a semicolon; everything else,
// tablespaces among it, is left out.
func ReadRoleScript(r io.Reader) (RoleScript, error) {
	var script RoleScript
	lines := bufio.NewReaderSize(r, 64<<10)
	var statement strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if statement.Len() > 0 || !ignorable(line) {
			statement.WriteString(line)
		}
		if s := strings.TrimSpace(statement.String()); complete(s) {
			if one, ok := parseRoleStatement(strings.TrimSuffix(s, ";")); ok {
				script.statements = append(script.statements, one)
			}
			statement.Reset()
		}
		if err == io.EOF {
			return script, nil
		}
		if err != nil {
			return script, err
		}
		if statement.Len() > maxHead {
			return script, fmt.Errorf("%w: a statement of more than %d bytes in the globals", ErrArchive, maxHead)
		}
	}
}

// ignorable are lines between statements: comments, psql's own commands, nothing.
func ignorable(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "--") || strings.HasPrefix(line, `\`)
}

// complete reports whether a statement ends here: with a semicolon outside of
// every quote. A setting's value, or a name, may hold line breaks, and a name
// in double quotes a single one.
func complete(s string) bool {
	if !strings.HasSuffix(s, ";") {
		return false
	}
	var inside rune
	for _, c := range s {
		switch {
		case inside == c:
			inside = 0 // doubled, the next one opens it again
		case inside == 0 && (c == '\'' || c == '"'):
			inside = c
		}
	}
	return inside == 0
}

func parseRoleStatement(sql string) (roleStatement, bool) {
	s := roleStatement{sql: sql}
	switch {
	case strings.HasPrefix(sql, "CREATE ROLE "):
		s.verb = "CREATE ROLE"
		name, rest, ok := takeIdent(sql[len("CREATE ROLE "):])
		s.roles = []string{name}
		return s, ok && rest == ""
	case strings.HasPrefix(sql, "ALTER ROLE "):
		s.verb = "ALTER ROLE"
		name, rest, ok := takeIdent(sql[len("ALTER ROLE "):])
		s.roles = []string{name}
		// IN DATABASE belongs to 05-database.sql.
		return s, ok && (strings.HasPrefix(rest, " WITH ") || strings.HasPrefix(rest, " SET "))
	case strings.HasPrefix(sql, "COMMENT ON ROLE "):
		s.verb = "COMMENT ON ROLE"
		name, rest, ok := takeIdent(sql[len("COMMENT ON ROLE "):])
		s.roles = []string{name}
		return s, ok && strings.HasPrefix(rest, " IS ")
	case strings.HasPrefix(sql, "GRANT "):
		s.verb = "GRANT"
		granted, rest, ok := takeIdent(sql[len("GRANT "):])
		if !ok || !strings.HasPrefix(rest, " TO ") {
			return s, false
		}
		member, rest, ok := takeIdent(rest[len(" TO "):])
		if !ok {
			return s, false
		}
		s.roles = []string{granted, member}
		// Who granted it may not exist yet, and does not matter to what it gives.
		if i := strings.Index(rest, " GRANTED BY "); i >= 0 {
			rest = rest[:i]
		}
		s.sql = "GRANT " + postgres.QuoteIdent(granted) + " TO " + postgres.QuoteIdent(member) + rest
		return s, true
	}
	return s, false
}

// takeIdent takes an identifier off the start of s, as PostgreSQL writes one:
// quoted where it must be.
func takeIdent(s string) (name, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexFunc(s, func(r rune) bool {
			return r != '_' && r != '$' && r < 0x80 && (r < '0' || r > '9') && (r < 'a' || r > 'z')
		})
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		return b.String(), s[i+1:], b.Len() > 0
	}
	return "", s, false
}

// Knows reports whether the script makes a role.
func (s RoleScript) Knows(role string) bool {
	return slices.ContainsFunc(s.statements, func(one roleStatement) bool { return one.verb == "CREATE ROLE" && one.roles[0] == role })
}

// All are the roles that the script makes, in its order.
func (s RoleScript) All() []string {
	var all []string
	for _, one := range s.statements {
		if one.verb == "CREATE ROLE" {
			all = append(all, one.roles[0])
		}
	}
	return all
}

// Making are the statements that make the given roles with their attributes,
// settings and memberships, and nothing else: roles that are there already keep
// what they have.
func (s RoleScript) Making(roles []string) []string {
	var all []string
	for _, verb := range roleVerbs {
		for _, one := range s.statements {
			// The role that a statement changes is its last: a membership is the member's.
			if one.verb == verb && slices.Contains(roles, one.roles[len(one.roles)-1]) {
				all = append(all, one.sql)
			}
		}
	}
	return all
}

// Needed are the roles that the given ones need: those that are members of them,
// and those that they are members of, as far as the script makes them.
func (s RoleScript) Needed(roles []string) []string {
	all := slices.Clone(roles)
	for i := 0; i < len(all); i++ {
		for _, one := range s.statements {
			if one.verb == "GRANT" && one.roles[1] == all[i] && !slices.Contains(all, one.roles[0]) && s.Knows(one.roles[0]) {
				all = append(all, one.roles[0])
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// MakeRoles runs the statements of Making in one transaction: all of the roles
// are there afterwards, or none.
func MakeRoles(ctx context.Context, admin *postgres.Endpoint, statements []string) error {
	conn, err := admin.ConnectPatient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("make roles: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	for _, sql := range statements {
		// The extended protocol takes one statement, whatever a line of the globals holds.
		if _, err := tx.Conn().PgConn().ExecParams(ctx, sql, nil, nil, nil, nil).Close(); err != nil {
			verb, _, _ := strings.Cut(sql, "PASSWORD") // hashes stay out of messages
			return fmt.Errorf("make roles: %s: %w", strings.TrimSpace(verb), err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("make roles: %w", err)
	}
	return nil
}
