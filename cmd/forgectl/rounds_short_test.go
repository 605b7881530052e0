//go:build !long

package main

const (
	signalRounds = 8
	everyPair    = false
)
