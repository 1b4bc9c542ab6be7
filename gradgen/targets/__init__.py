"""The languages that programs are printed in."""
