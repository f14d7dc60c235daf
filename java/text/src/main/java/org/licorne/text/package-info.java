/**
 * From text to batches: tokenizers ({@link org.licorne.text.Tokenizers}), the byte-level BPE trainer
 * ({@link org.licorne.text.ByteLevelBpeTrainer}), text files and WordNet as documents
 * ({@link org.licorne.text.TextFiles}, {@link org.licorne.text.WordNetCorpus}), tokens in memory or on disk
 * ({@link org.licorne.text.TokenArray}, {@link org.licorne.text.TokenShards}) and the batches a trainer asks for
 * ({@link org.licorne.text.PackedDocuments}).
 */
package org.licorne.text;
