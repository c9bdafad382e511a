export { assertReceipt, type Receipt, type ReceiptScope } from './mint.ts';
