/** Training: optimiser, schedule, evaluation, checkpoints, metrics. */
package org.licorne.train;
