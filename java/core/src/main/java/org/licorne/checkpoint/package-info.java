/** Models and training runs on disk: safetensors files, Hugging Face directories and crash-safe checkpoints. */
package org.licorne.checkpoint;
