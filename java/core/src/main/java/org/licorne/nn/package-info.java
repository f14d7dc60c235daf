/** Layers with explicit forward and backward passes over {@link org.licorne.backend.Kernels}, and their memory. */
package org.licorne.nn;
