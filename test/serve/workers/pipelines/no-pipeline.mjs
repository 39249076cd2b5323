export class Faulty {
  predict() {}
}
