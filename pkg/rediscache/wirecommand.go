package rediscache

import (
	"strconv"
	"time"
)

// AppendSet adds the command SET key value [PX ttl] [NX]; ttl is cut to milliseconds, and 0 is for ever.
func AppendSet(dst, key, value []byte, ttl time.Duration, missing bool) []byte {
	n := 3
	if ttl > 0 {
		n += 2
	}
	if missing {
		n++
	}
	dst = append(dst, '*', byte('0'+n))
	dst = appendBulk(append(dst, "\r\n$3\r\nSET\r\n"...), key)
	dst = appendBulk(dst, value)
	if ttl > 0 {
		var digits [20]byte
		dst = appendBulk(append(dst, "$2\r\nPX\r\n"...), strconv.AppendInt(digits[:0], ttl.Milliseconds(), 10))
	}
	if missing {
		dst = append(dst, "$2\r\nNX\r\n"...)
	}
	return dst
}

// appendScan adds the command SCAN cursor [MATCH match] COUNT scanCount.
func appendScan(dst []byte, cursor uint64, match string) []byte {
	words := []string{"SCAN", strconv.FormatUint(cursor, 10), "COUNT", strconv.Itoa(scanCount)}
	if match != "" {
		words = append(words, "MATCH", match)
	}
	return appendCommand(dst, words)
}

// appendUnlink adds the command UNLINK key…
func appendUnlink(dst []byte, keys []string) []byte {
	dst = appendHead(dst, '*', len(keys)+1)
	return appendWords(append(dst, "$6\r\nUNLINK\r\n"...), keys)
}

func appendCommand(dst []byte, words []string) []byte {
	return appendWords(appendHead(dst, '*', len(words)), words)
}

func appendWords(dst []byte, words []string) []byte {
	for _, word := range words {
		dst = appendBulk(dst, word)
	}
	return dst
}

func appendBulk[T string | []byte](dst []byte, b T) []byte {
	dst = append(appendHead(dst, '$', len(b)), b...)
	return append(dst, "\r\n"...)
}

func appendHead(dst []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(dst, kind), int64(n), 10), "\r\n"...)
}
