package rediscache

import (
	"slices"
	"strconv"
	"strings"
)

// Command is a command that somebody sent. Its arguments may hold anything, also
// what nobody is to see: use Keys for what may be shown, Shown for all of it.
type Command struct {
	Name string // upper case, with the subcommand of those that have one
	args []string
}

// Hidden is shown in place of a secret.
const Hidden = "***"

func newCommand(args []string) Command {
	if len(args) == 0 {
		return Command{Name: "?"}
	}
	name := strings.ToUpper(args[0])
	if slices.Contains(containers(), name) && len(args) > 1 {
		return Command{name + " " + strings.ToUpper(clean(args[1])), args[2:]}
	}
	return Command{clean(name), args[1:]}
}

// clean bounds a name, which comes from whoever is connected.
func clean(name string) string {
	const limit = 40
	if !printable(name) || len(name) > limit {
		return "?"
	}
	return name
}

// containers are the commands whose first argument belongs to the name.
func containers() []string {
	return []string{"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY", "MODULE", "OBJECT", "PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO"}
}

// Keys are the keys that the command is about, as far as its name tells.
func (c Command) Keys() []string {
	a := c.args
	switch c.Name {
	case "DEL", "UNLINK", "EXISTS", "TOUCH", "MGET", "SINTER", "SUNION", "SDIFF", "PFCOUNT", "WATCH", "RENAME", "RENAMENX", "SDIFFSTORE", "SINTERSTORE", "SUNIONSTORE":
		return a
	case "MSET", "MSETNX":
		var keys []string
		for i := 0; i < len(a); i += 2 {
			keys = append(keys, a[i])
		}
		return keys
	case "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO":
		if len(a) < 2 {
			return nil
		}
		n, err := strconv.Atoi(a[1])
		if err != nil || n < 0 || n > len(a)-2 {
			return nil
		}
		return a[2 : 2+n]
	case "BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX":
		return a[:max(len(a)-1, 0)]
	case "OBJECT ENCODING", "OBJECT FREQ", "OBJECT IDLETIME", "OBJECT REFCOUNT", "MEMORY USAGE", "XGROUP CREATE", "XINFO STREAM", "XINFO GROUPS", "XINFO CONSUMERS", "DEBUG OBJECT":
		return a[:min(len(a), 1)]
	}
	if len(a) == 0 || keyless(c.Name) {
		return nil
	}
	return a[:1]
}

// keyless are commands whose first argument is no key. Of what we do not know we
// would rather show nothing than a value.
func keyless(name string) bool {
	word, _, sub := strings.Cut(name, " ")
	if sub {
		return slices.Contains(containers(), word)
	}
	return !slices.Contains(firstKeys(), word)
}

// firstKeys are the commands whose first argument is their key.
func firstKeys() []string {
	return strings.Fields(`APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS COPY DECR DECRBY DUMP EXPIRE EXPIREAT EXPIRETIME GEOADD GEODIST GEOHASH
		GEOPOS GEORADIUS GEOSEARCH GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HGET HGETALL HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET
		HMSET HRANDFIELD HSCAN HSET HSETNX HSTRLEN HVALS INCR INCRBY INCRBYFLOAT LINDEX LINSERT LLEN LMOVE LPOP LPOS LPUSH LPUSHX LRANGE LREM
		LSET LTRIM MOVE PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PFMERGE PSETEX PTTL RESTORE RPOP RPOPLPUSH RPUSH RPUSHX SADD SCARD SET
		SETBIT SETEX SETNX SETRANGE SISMEMBER SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP SRANDMEMBER SREM SSCAN STRLEN SUBSTR TTL TYPE XACK
		XADD XAUTOCLAIM XCLAIM XDEL XLEN XPENDING XRANGE XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN
		ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE
		ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE`)
}

// secretive are commands that may carry a password, whose arguments are never shown.
func secretive(name string) bool {
	word, _, _ := strings.Cut(name, " ")
	return word == "AUTH" || word == "HELLO" || word == "ACL" || word == "CONFIG" || word == "MIGRATE" || word == "SENTINEL" || word == "?" || word == "REPLICAOF" || word == "SLAVEOF"
}

// Shown is the command for people: its name and keys, with Hidden for the rest, or
// with its arguments when they are to be revealed, but never those of a command that
// carries a password. Every text is bounded.
func (c Command) Shown(reveal bool) string {
	const limit, each, most = 200, 60, 12
	words := []string{c.Name}
	args := c.Keys()
	rest := len(c.args) - len(args)
	if reveal && !secretive(c.Name) {
		args, rest = c.args, 0
	}
	for i, a := range args {
		if i == most {
			words = append(words, "…")
			break
		}
		words = append(words, quoteArgument(a, each))
	}
	if rest > 0 {
		words = append(words, Hidden)
	}
	return cut(strings.Join(words, " "), limit)
}

func quoteArgument(text string, limit int) string {
	short := cut(text, limit)
	if text == "" || strings.ContainsAny(text, " \"\\") || !printable(strings.ReplaceAll(text, "*", "")) {
		return strconv.Quote(short)
	}
	return short
}

func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
