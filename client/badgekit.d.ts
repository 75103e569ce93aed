/**
 * A client of the BadgeKit API for Node, Deno, Bun, Workers and browsers, made of nothing but what these share: `fetch` and Web
 * Crypto. A call reads as its path does, and is typed from the schemas that the service itself validates with:
 *
 *     const city = new BadgeKit({ url, key, secret }).systems('city')
 *     const { instance } = await city.badges('zine-maker').instances.post({ email })
 *     for await (const badge of city.badges.list()) console.log(badge.name)
 */
import type { Options } from './calls.js';
import type { Application, Badge, ErrorCode, Event, Review, Routes } from './routes.js';
export type * from './calls.js';
export type * from './routes.js';
/** Who signs, and where to. */
export type Settings = {
    /** The service's address, such as `https://badges.example.org`. */
    url: string;
    /** Needed for all but public routes. */
    secret?: string;
    /** The name of the key that the secret belongs to; `master` unless given. */
    key?: string;
    /** How often a request is sent again, at most: 4 unless given. */
    retries?: number;
    /** Milliseconds that one try may take: 30,000 unless given. */
    timeout?: number;
    fetch?: typeof fetch;
};
/** A whole answer. */
export type Answer = {
    status: number;
    headers: Headers;
    body: unknown;
};
export type FieldError = {
    field: string;
    message: string;
    value: unknown;
};
/** What `details` holds, by code. */
export type ErrorDetails = {
    [Code in ErrorCode | FailureCode]: Code extends 'ValidationError' ? FieldError[] : Code extends 'ResourceConflict' ? Record<string, unknown> | undefined : undefined;
};
/** What goes wrong before there is an answer of the service. */
export type FailureCode = 'NetworkError' | 'TimeoutError' | 'UnreadableAnswer';
type Failure = {
    code: ErrorCode | FailureCode;
    message: string;
    status: number;
    details?: unknown;
    parameter?: string;
    requestId?: string;
    retryAfter?: number;
    cause?: unknown;
};
/** Every failure of a call but an abort of its own signal. */
export declare class BadgeKitError<Code extends ErrorCode | FailureCode = ErrorCode | FailureCode> extends Error {
    readonly name = "BadgeKitError";
    readonly code: Code;
    /** 0 when there was no answer. */
    readonly status: number;
    readonly details: ErrorDetails[Code];
    /** The parameter of the query that cannot be taken. */
    readonly parameter: string | undefined;
    /** `X-Request-Id`, which the service's log names too. */
    readonly requestId: string | undefined;
    /** Seconds to wait before it may be tried again. */
    readonly retryAfter: number | undefined;
    constructor(failure: Failure);
    /** Whether something caught is this error: `BadgeKitError.is(error, 'ValidationError') && error.details`. */
    static is<Code extends ErrorCode | FailureCode>(error: unknown, code: Code): error is BadgeKitError<Code>;
}
type Query = Record<string, unknown>;
declare class Client {
    #private;
    constructor(settings: Settings);
    /**
     * Sends one signed request, again if need be, and gives the whole answer. The path is percent-encoded already.
     *
     * @throws {BadgeKitError} unless its status is below 400
     */
    request(method: string, path: string, { body, query, ...options }?: Options & {
        body?: unknown;
        query?: Query;
    }): Promise<Answer>;
}
/** The client with all its routes. */
export type BadgeKit = Routes & Pick<Client, 'request'>;
export declare const BadgeKit: new (settings: Settings) => BadgeKit;
/** What a webhook of the format `badgekit-1` is sent. */
export type Message = {
    action: 'award';
    uid: string;
    badge: Badge;
    email: string;
    assertionUrl: string;
    /** Unix seconds. */
    issuedOn: number;
    comment: string | null;
} | {
    action: 'revoke';
    uid: string;
    badge: Badge;
    email: string;
} | {
    action: 'review';
    application: Application;
    review: Review;
    approved: boolean;
} | {
    action: 'ping';
    webhook: number;
};
export type ReceivedHeaders = Headers | Record<string, string | string[] | undefined>;
/** A message that is not from the service, or came too late. */
export declare class WebhookError extends Error {
    readonly name = "WebhookError";
}
/**
 * Checks who sent a message, and reads it: a `Message`, or an `Event` of a webhook of the format `events-1`. Give the body as it
 * came, before any JSON parser has touched it. A message can come twice: `webhook-id` tells.
 *
 * `webhook-signature` is checked, and that the message is new. Receivers that know the original's `Authorization` alone
 * ask for it with `scheme`: it has no time in it.
 *
 * @param secret the webhook's, or several while it is replaced
 * @throws {WebhookError}
 */
export declare function verifyWebhook<Sent extends Message | Event = Message | Event>(request: {
    headers: ReceivedHeaders;
    body: string | Uint8Array;
}, secret: string | readonly string[], { scheme, tolerance, }?: {
    scheme?: 'webhook-signature' | 'authorization';
    /** Seconds that a message may be old or early. */
    tolerance?: number;
}): Promise<Sent>;
