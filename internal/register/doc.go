// Package register makes the public register of an agency's sharing agreements: a static site, without scripts, of the
// agreements in force whose terms say that they are public, with their use in numbers that reveal nobody.
//
// # Numbers
//
// Counts are published by calendar month and only of months that have ended, so that nobody can watch one case. In a month a
// count from 1 to K-1 is shown as "fewer than K". A year's total is shown when the year has ended, and only when the hidden
// months could each still be anything from 1 to K-1 given that total: otherwise the total is hidden as well. What was shown
// of a month never changes with what comes after it, so two editions of the register do not say more than the later one.
package register
