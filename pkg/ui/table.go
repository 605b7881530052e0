package ui

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// lastColumnMin is the width below which wrapping the last column would be
// harder to read than what the terminal does with a long line.
const lastColumnMin = 20

// Column is a heading, and the side to which its cells lean.
type Column struct {
	Title string
	Right bool
}

// Table collects rows; nothing is written before Flush.
type Table struct {
	s    *Streams
	cols []Column
	rows [][]string
}

// Table starts a table with these columns.
func (s *Streams) Table(cols ...Column) *Table {
	return &Table{s: s, cols: cols}
}

// Row adds a row. Missing cells are empty; cells beyond the last column are a
// mistake of the program and are dropped.
func (t *Table) Row(cells ...string) {
	row := make([]string, len(t.cols))
	copy(row, cells)
	t.rows = append(t.rows, row)
}

// Number writes a whole number for standard output: in groups for people, plain
// in a pipe.
func (s *Streams) Number(n int64) string {
	if s.OutTTY {
		return Count(n)
	}
	return strconv.FormatInt(n, 10)
}

// Len is the number of rows so far.
func (t *Table) Len() int { return len(t.rows) }

// Flush writes the table to standard output and forgets its rows. On a terminal
// the columns are aligned below a heading, and where the whole is too wide the
// last column is wrapped. In a pipe there are only the rows, cells separated by
// tabs, with tab, newline and backslash escaped as \t, \n and \\. A table
// without rows writes nothing.
func (t *Table) Flush() error {
	rows := t.rows
	t.rows = nil
	if len(rows) == 0 {
		return nil
	}
	var out string
	if t.s.OutTTY {
		out = t.aligned(rows)
	} else {
		out = separated(rows)
	}
	if _, err := io.WriteString(t.s.Out, out); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func separated(rows [][]string) string {
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(pipeCell(cell))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (t *Table) aligned(rows [][]string) string {
	style := table.Style{
		Name: "plain",
		Box:  table.BoxStyle{PaddingRight: "  "},
		// The zero formats change nothing: titles and cells are as given.
	}
	w := table.NewWriter()
	w.SetStyle(style)
	w.SuppressTrailingSpaces()

	header := make(table.Row, len(t.cols))
	configs := make([]table.ColumnConfig, len(t.cols))
	used := 0
	for i, c := range t.cols {
		header[i] = t.s.Bold(c.Title)
		configs[i] = table.ColumnConfig{Number: i + 1}
		if c.Right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
		if i < len(t.cols)-1 {
			used += columnWidth(c.Title, rows, i) + len(style.Box.PaddingRight)
		}
	}
	if last := t.s.Width - used; t.s.Width > 0 && last >= lastColumnMin {
		configs[len(configs)-1].WidthMax = last
		configs[len(configs)-1].WidthMaxEnforcer = text.WrapSoft
	}
	w.SetColumnConfigs(configs)
	w.AppendHeader(header)
	for _, row := range rows {
		cells := make(table.Row, len(row))
		for i, cell := range row {
			cells[i] = terminalCell(cell)
		}
		w.AppendRow(cells)
	}
	return w.Render() + "\n"
}

func columnWidth(title string, rows [][]string, col int) int {
	width := text.StringWidth(title)
	for _, row := range rows {
		width = max(width, text.StringWidthWithoutEscSequences(terminalCell(row[col])))
	}
	return width
}
