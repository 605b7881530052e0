// Package catalog knows which backup sets exist in a store, and whether they are whole.
package catalog
