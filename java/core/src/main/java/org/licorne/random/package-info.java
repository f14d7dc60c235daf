/** Random numbers that are functions of a counter, so that every run can be repeated and resumed. */
package org.licorne.random;
