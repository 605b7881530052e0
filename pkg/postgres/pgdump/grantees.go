package pgdump

import (
	"slices"
	"strings"
)

// Grantees are the roles that an archive grants something to, or makes policies
// and user mappings for: they own nothing, so no owner names them, but without
// them the load fails. Sorted.
func Grantees(toc *TOC) []string {
	var all []string
	for _, e := range toc.Entries {
		switch e.Type {
		case "ACL", "DEFAULT ACL", "USER MAPPING":
			all = append(all, rolesIn(e.Definition)...)
		case "POLICY":
			all = append(all, rolesOf(policyHead(sqlWords(e.Definition)))...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// rolesIn finds the roles after TO, FROM, FOR ROLE and USER MAPPING FOR in the
// statements that pg_dump writes (src/fe_utils/string_utils.c quotes the names,
// dumputils.c and pg_dump.c write the keywords in upper case). A keyword inside
// a quoted name or a string is none.
func rolesIn(sql string) []string { return rolesOf(sqlWords(sql)) }

// policyHead is a CREATE POLICY up to its expressions: what stands after a FROM
// there is a table, a column or a number.
func policyHead(words []string) []string {
	for i, w := range words {
		if w == "USING" || w == "WITH" {
			return words[:i]
		}
	}
	return words
}

func rolesOf(words []string) []string {
	var roles []string
	for i := 0; i+1 < len(words); i++ {
		after := i + 1
		switch {
		case words[i] == "TO" || words[i] == "FROM":
		case words[i] == "FOR" && words[after] == "ROLE":
			after++
		case words[i] == "FOR" && i > 0 && words[i-1] == "MAPPING":
		default:
			continue
		}
		for ; after < len(words); after += 2 {
			if name, rest, ok := takeIdent(words[after]); ok && rest == "" {
				if name != "public" || strings.HasPrefix(words[after], `"`) {
					roles = append(roles, name)
				}
			}
			if after+1 >= len(words) || words[after+1] != "," {
				break
			}
		}
	}
	return roles
}

// forRoles are the roles after FOR ROLE only: those whose defaults are set.
func forRoles(sql string) []string {
	words := sqlWords(sql)
	var roles []string
	for i := 0; i+2 < len(words); i++ {
		if words[i] == "FOR" && words[i+1] == "ROLE" {
			if name, rest, ok := takeIdent(words[i+2]); ok && rest == "" {
				roles = append(roles, name)
			}
		}
	}
	return roles
}

// sqlWords splits SQL into words, quoted names, strings and single signs.
func sqlWords(sql string) []string {
	var words []string
	for i := 0; i < len(sql); {
		c := sql[i]
		end := i + 1
		switch {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			i++
			continue
		case c == '"' || c == '\'':
			for end < len(sql) {
				if sql[end] == c {
					if end+1 >= len(sql) || sql[end+1] != c {
						break
					}
					end++
				}
				end++
			}
			end = min(end+1, len(sql))
		case isWord(c):
			for end < len(sql) && isWord(sql[end]) {
				end++
			}
		}
		words = append(words, sql[i:end])
		i = end
	}
	return words
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
