/** GPT as a configuration of the layers: weights, passes over batches, decoding with a cache, sizes. */
package org.licorne.model;
