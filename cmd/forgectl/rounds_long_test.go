//go:build long

package main

const (
	signalRounds = 400
	everyPair    = true
)
