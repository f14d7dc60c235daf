package org.licorne.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** Turns an exception into one message that says what to do. */
final class ErrorMessage {
    private ErrorMessage() {}

    static String of(Throwable failure) {
        Throwable cause = unwrap(failure);
        if (cause instanceof NoSuchFileException) {
            return "there is no file or directory " + ((FileSystemException) cause).getFile();
        }
        if (cause instanceof AccessDeniedException) {
            return "no permission for " + ((FileSystemException) cause).getFile();
        }
        if (cause instanceof NotDirectoryException) {
            return ((FileSystemException) cause).getFile() + " is not a directory";
        }
        if (cause instanceof FileAlreadyExistsException) {
            return ((FileSystemException) cause).getFile() + " exists already";
        }
        if (cause instanceof DirectoryNotEmptyException) {
            return "the directory " + ((FileSystemException) cause).getFile() + " is not empty";
        }
        if (cause instanceof OutOfMemoryError) {
            return "the Java heap is too small (" + Runtime.getRuntime().maxMemory() / (1 << 20)
                    + " MiB); LICORNE_JAVA_OPTIONS=-Xmx8g ./licorne … gives it more";
        }
        String message = cause.getMessage();
        if (message == null || message.isBlank()) {
            return cause.getClass().getSimpleName();
        }
        return isUnexpected(cause) ? cause.getClass().getSimpleName() + ": " + message : FlagNames.in(message);
    }

    /** Whether the failure is none of those that the library throws on purpose. */
    static boolean isUnexpected(Throwable failure) {
        Throwable cause = unwrap(failure);
        return cause instanceof NullPointerException
                || cause instanceof IndexOutOfBoundsException
                || cause instanceof ClassCastException
                || cause instanceof ArithmeticException
                || cause instanceof AssertionError
                || cause instanceof LinkageError;
    }

    private static Throwable unwrap(Throwable failure) {
        Throwable cause = failure;
        while (cause.getCause() != null
                && (cause instanceof CompletionException
                        || cause instanceof ExecutionException
                        || (cause instanceof UncheckedIOException
                                && saysNothingOfItsOwn((UncheckedIOException) cause)))) {
            cause = cause.getCause();
        }
        return cause;
    }

    private static boolean saysNothingOfItsOwn(UncheckedIOException wrapper) {
        IOException cause = wrapper.getCause();
        String message = wrapper.getMessage();
        return message == null || message.equals(cause.toString()) || message.equals(cause.getMessage());
    }
}
