/** Writing texts: sampling, streaming, stopping. */
package org.licorne.generate;
