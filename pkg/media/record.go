package media

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// record is a line as JSON: what appendEntry writes and the long way of reading knows. Fields that are not known are
// ignored: later versions may add some.
type record struct {
	Path    *string       `json:"path"`
	PathB64 []byte        `json:"path_b64"`
	Type    Type          `json:"type"`
	Size    int64         `json:"size"`
	Mode    string        `json:"mode"`
	UID     uint32        `json:"uid"`
	GID     uint32        `json:"gid"`
	MTime   int64         `json:"mtime"`
	CTime   int64         `json:"ctime"`
	Dev     uint64        `json:"dev"`
	Inode   uint64        `json:"inode"`
	Links   uint64        `json:"links"`
	Target  *string       `json:"target"`
	TargetB []byte        `json:"target_b64"`
	Xattrs  []xattrRecord `json:"xattrs"`
	Extents *[][2]int64   `json:"extents"`
	SHA256  string        `json:"sha256"`
	Fresh   bool          `json:"fresh"`
	End     *trailer      `json:"end"`
}

type xattrRecord struct {
	Name    string `json:"name"`
	NameB64 []byte `json:"name_b64"`
	Value   []byte `json:"value"`
	Unkept  bool   `json:"unkept"`
}

type trailer struct {
	Files    int64 `json:"files"`
	Dirs     int64 `json:"dirs"`
	Symlinks int64 `json:"symlinks"`
	Others   int64 `json:"others"`
	Bytes    int64 `json:"bytes"`
}

func appendTrailer(b []byte, t Totals) []byte {
	return fmt.Appendf(b, `{"end":{"files":%d,"dirs":%d,"symlinks":%d,"others":%d,"bytes":%d}}`+"\n", t.Files, t.Dirs, t.Symlinks, t.Others, t.Bytes)
}

func appendEntry(b []byte, e *Entry) []byte {
	b = append(b, '{')
	b = appendText(b, "path", e.Path)
	b = append(b, `,"type":"`...)
	b = append(b, e.Type...)
	b = append(b, '"')
	if e.Type == File {
		b = appendInt(b, "size", e.Size)
	}
	b = append(b, `,"mode":"`...)
	for shift := 9; shift >= 0; shift -= 3 {
		b = append(b, '0'+byte(e.Mode>>shift&7))
	}
	b = append(b, '"')
	b = appendUint(b, "uid", uint64(e.UID))
	b = appendUint(b, "gid", uint64(e.GID))
	b = appendInt(b, "mtime", e.MTime)
	b = appendInt(b, "ctime", e.CTime)
	b = appendUint(b, "dev", e.Dev)
	b = appendUint(b, "inode", e.Inode)
	b = appendUint(b, "links", e.Links)
	if e.Target != "" {
		b = append(b, ',')
		b = appendText(b, "target", e.Target)
	}
	b = appendXattrs(b, e)
	if e.Extents != nil {
		b = append(b, `,"extents":[`...)
		for i, x := range e.Extents {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, '[')
			b = strconv.AppendInt(b, x.Offset, 10)
			b = append(b, ',')
			b = strconv.AppendInt(b, x.Length, 10)
			b = append(b, ']')
		}
		b = append(b, ']')
	}
	if e.SHA256 != "" {
		b = append(b, `,"sha256":"`...)
		b = append(b, e.SHA256...)
		b = append(b, '"')
	}
	if e.Fresh {
		b = append(b, `,"fresh":true`...)
	}
	return append(b, "}\n"...)
}

func appendXattrs(b []byte, e *Entry) []byte {
	if len(e.Xattrs) == 0 {
		return b
	}
	b = append(b, `,"xattrs":[`...)
	for i, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		b = appendText(b, "name", name)
		b = append(b, `,"value":"`...)
		b = base64.StdEncoding.AppendEncode(b, e.Xattrs[name])
		b = append(b, '"')
		if slices.Contains(e.Unkept, name) {
			b = append(b, `,"unkept":true`...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendInt(b []byte, key string, n int64) []byte {
	b = append(append(append(b, `,"`...), key...), `":`...)
	return strconv.AppendInt(b, n, 10)
}

func appendUint(b []byte, key string, n uint64) []byte {
	b = append(append(append(b, `,"`...), key...), `":`...)
	return strconv.AppendUint(b, n, 10)
}

// appendText writes "key":"text", or "key_b64" when the text is not UTF-8.
func appendText(b []byte, key, text string) []byte {
	b = append(append(b, '"'), key...)
	if !utf8.ValidString(text) {
		b = append(b, `_b64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(text))
		return append(b, '"')
	}
	b = append(b, `":"`...)
	const hex = "0123456789abcdef"
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// parseLine reads a line: an entry, or the trailer.
func parseLine(line []byte) (Entry, *Totals, error) {
	if e, ok := scanEntry(line); ok {
		return e, nil, e.Validate()
	}
	if !utf8.Valid(line) {
		return Entry{}, nil, errors.New("not UTF-8") // the decoder would put replacement characters
	}
	var rec record
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(&rec); err != nil {
		return Entry{}, nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Entry{}, nil, errors.New("more than one object")
	}
	if t := rec.End; t != nil {
		return Entry{}, &Totals{Files: t.Files, Dirs: t.Dirs, Symlinks: t.Symlinks, Others: t.Others, Bytes: t.Bytes}, nil
	}
	e, err := rec.entry()
	if err == nil {
		err = e.Validate()
	}
	return e, nil, err
}

func (rec *record) entry() (Entry, error) {
	e := Entry{
		Type: rec.Type, Size: rec.Size, UID: rec.UID, GID: rec.GID, MTime: rec.MTime, CTime: rec.CTime,
		Dev: rec.Dev, Inode: rec.Inode, Links: rec.Links, SHA256: rec.SHA256, Fresh: rec.Fresh,
	}
	mode, err := strconv.ParseUint(rec.Mode, 8, 16)
	if err != nil || len(rec.Mode) != 4 {
		return e, fmt.Errorf("%w: mode %.20q", errEntry, rec.Mode)
	}
	e.Mode = uint32(mode)
	if e.Path, err = oneOf("path", rec.Path, rec.PathB64); err != nil {
		return e, err
	}
	if rec.Target != nil || rec.TargetB != nil {
		if e.Target, err = oneOf("target", rec.Target, rec.TargetB); err != nil {
			return e, err
		}
	}
	for _, x := range rec.Xattrs {
		if e.Xattrs == nil {
			e.Xattrs = map[string][]byte{}
		}
		name := x.Name
		if x.NameB64 != nil {
			name = string(x.NameB64)
		}
		if _, twice := e.Xattrs[name]; twice || x.Name != "" && x.NameB64 != nil {
			return e, fmt.Errorf("%w: extended attributes", errEntry)
		}
		e.Xattrs[name] = append([]byte{}, x.Value...)
		if x.Unkept {
			e.Unkept = append(e.Unkept, name)
		}
	}
	slices.Sort(e.Unkept)
	if rec.Extents != nil {
		e.Extents = make([]Extent, len(*rec.Extents))
		for i, x := range *rec.Extents {
			e.Extents[i] = Extent{x[0], x[1]}
		}
	}
	return e, nil
}

// oneOf is a text that is given plain, or as base64 exactly when it is not UTF-8.
func oneOf(key string, plain *string, b64 []byte) (string, error) {
	switch {
	case (plain != nil) == (b64 != nil):
		return "", fmt.Errorf("%w: %s must be there once", errEntry, key)
	case plain != nil:
		return *plain, nil
	case utf8.Valid(b64):
		return "", fmt.Errorf("%w: %s_b64 is UTF-8", errEntry, key)
	}
	return string(b64), nil
}
